"""What ASE's own tools find of this package: file formats, `ase run mlham`, a viewer, plugins.

Every `ase` command imports this package and `definitions`, in the middle of `import ase.io`. They
must stay empty of all that is heavy, and must not import `ase.io`.
"""
