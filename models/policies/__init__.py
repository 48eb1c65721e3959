"""The interface of a policy, and everything behind it: ONNX models, rules, the registry."""
