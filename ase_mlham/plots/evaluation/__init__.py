"""The evaluation of models in pictures, and the report that puts them together."""
