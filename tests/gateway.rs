//! The one integration binary: stories through real sockets, goldens, laws, faults, the shape of the code.
