"""The LLM over fused item tokens: model, training, beam search."""
