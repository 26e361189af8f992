"""What the pages share; the only part of the core that imports Streamlit."""
