-- By call, what the provider's cache of prompts saved at list price.
{{ prompt_caches() }}
