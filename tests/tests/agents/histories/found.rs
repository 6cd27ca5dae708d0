//! Histories that once ended badly.
