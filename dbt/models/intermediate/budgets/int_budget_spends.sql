-- What budgets count, a row per entry or call, with its position and its scopes.
{{ budget_spends('true') }}
