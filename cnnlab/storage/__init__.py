"""The lab's home: how files are written, locked and checked."""
