//! Tidegate for embedders: render, plan, approve, apply from a program of your own.
