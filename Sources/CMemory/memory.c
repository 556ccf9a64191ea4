#define _GNU_SOURCE
#include "memory.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __APPLE__
#include <malloc/malloc.h>
#else
#include <malloc.h>
#endif
#ifdef __linux__
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

void memory_share_free(void) {
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

void memory_release_free(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#elif defined(__APPLE__)
    malloc_zone_pressure_relief(NULL, 0);
#endif
}

#ifdef __linux__
// The executable is the first that is listed.
static int release_object(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    (void)context;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int each = 0; each < object->dlpi_phnum; each++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[each];
        // What could be written has been, perhaps: it would be lost.
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0) continue;
        // Whole pages only: those at the ends may belong to a neighbour, too.
        uintptr_t begin = (object->dlpi_addr + segment->p_vaddr + page - 1) / page * page;
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) / page * page;
        if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 1;
}
#endif

void memory_release_code(void) {
#ifdef __linux__
    dl_iterate_phdr(release_object, NULL);
#endif
}
