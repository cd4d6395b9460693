"""Weights in, fingerprint out: everything that heritage recovery needs to know of a model, in at most 1 MB.

* :mod:`.record`: the :class:`~.record.Fingerprint` itself, columns of numpy arrays; all that comes after needs only it.
* :mod:`.seeds`: the pseudo-random rows, columns, signs and positions that the spec fixes.
* :mod:`.kernels`: torch work on one piece of one tensor: exact statistics and the linear sketch.
* :mod:`.compute`: the pass over a model: reading, threads, combination in order.
* :mod:`.assemble`: tensors' results to one fingerprint below the size bound, :mod:`.pooling` for very deep models.
* :mod:`.fold`: a fingerprint at a smaller sketch width. :mod:`.coarse`: a 4 KB vector to find candidates with.
* :mod:`.format`: the bytes of a fingerprint, a safetensors file; reading them treats them as untrusted.

Only :mod:`.kernels` and :mod:`.compute` import torch. The written spec is ``docs/fingerprint.md``.
"""
