"""Trained networks for other runtimes: graphs of torch.export and ONNX, checked against torch and timed."""
