"""The graph stage in parts: row blocks, planned by predicted work, that processes or machines make side by side.

A folder, ``<root>/<key>.parts-<N>``, holds the inputs of a snapshot and all that its N parts have made. The stage is a
list of steps (:func:`~.order.steps_of`), each of which cuts its rows into N blocks. A step reads what earlier steps
made, joined, as mapped files; it is *prepared* by one process (which plans the blocks), its blocks are made anywhere,
and they are *joined* by one process when a later step needs them. All bits are those of one process.

An engine that runs blocks elsewhere needs four calls::

    parts = Parts.create(inputs, root, n_parts)          # or Parts.open(path)
    for step in parts.steps:                             # in this order
        parts.prepare(step)                              # joins what it reads, and plans its blocks: one process
        for block in parts.missing(step):                # anywhere, in any order
            made = make_block(parts.path, step, block)   # reads the folder only; returns arrays
            parts.keep(step, block, made)                # writes them into the folder
    snapshot = merge(inputs, root)                       # joins the last steps, trains node vectors, publishes

``step`` is a name such as ``lists-u`` or ``fold-0/similar``. :func:`~.folder.make_block` takes names and numbers,
returns plain arrays, imports nothing above this package, and writes nothing. Without a shared disk an executor needs
``given``, the step's ``plan``, and ``plan`` and ``joined`` of each of ``parts.needs(step)``, as they stand after
``prepare``, under the same names.
"""
