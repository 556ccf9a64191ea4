// What the C library's allocator can be told; Swift's own module of it leaves this header out.
#ifdef __APPLE__
#include <malloc/malloc.h>
#else
#include <malloc.h>
#endif
