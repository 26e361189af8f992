"""Explainable COVID-19 classification of chest CT slices: the core, which runs without Streamlit."""
