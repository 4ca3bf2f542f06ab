"""DeepICD-R1 rebuilt: clinical reasoning trained with hierarchical rewards."""

__version__ = "0.1.0"
