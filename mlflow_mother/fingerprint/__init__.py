"""Weights in, fingerprint out: everything that heritage recovery needs to know of a model, in at most 1 MB.

* :mod:`.record`: the :class:`~.record.Fingerprint` itself, columns of numpy arrays; all that comes after needs only it.
* :mod:`.seeds`: the pseudo-random rows, columns, signs and positions that the spec fixes.
* :mod:`.widening`: raw bytes to exact numbers. :mod:`.moments`: exact statistics. :mod:`.kernels`: one piece of
  one tensor to statistics and a partial sketch.
* :mod:`.compute`: the pass over a model: reading, threads, combination in order; one :mod:`.entries` per tensor.
  :mod:`.small`: hundreds of small tensors at a time.
* :mod:`.assemble`: entries to one fingerprint below the size bound, with :mod:`.pooling` for very deep models.
* :mod:`.fold`: a fingerprint at a smaller sketch width. :mod:`.coarse`: a 4 KB vector to find candidates with.
* :mod:`.layout`, :mod:`.format`: lengths and bytes of a fingerprint, a safetensors file; bytes are read as untrusted.

Only :mod:`.widening`, :mod:`.moments`, :mod:`.kernels`, :mod:`.small` and :mod:`.compute` import torch.
The written spec is ``docs/fingerprint.md``.
"""
