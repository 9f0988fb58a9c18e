"""How the ledger is seen: a Streamlit app over the dbt marts."""
