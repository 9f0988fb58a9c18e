-- Calls as their sources sent them, counted or in quarantine.
{{ sent_calls() }}
