// Compiles nothing itself: the headers of the tests, precompiled for all of them.
