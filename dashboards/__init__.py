"""The pages: a Streamlit app over the dbt marts."""
