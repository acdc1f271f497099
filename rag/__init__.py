"""Questions to cited answers. Knows nothing of HTTP or Gradio."""
