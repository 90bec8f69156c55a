"""What the pages share; the only place in the library that knows Streamlit."""
