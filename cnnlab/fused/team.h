/* What all kernels agree on.

A batch is shared out in slices of whole images. Which images a slice holds, and in which order its sums are added,
depends on the number of slices alone, so that a run can be repeated to the last bit, whichever thread took which. */

#include <stdint.h>

#define LANES 8
#define VECTORS_FOR(numbers) (((numbers) + LANES - 1) / LANES)
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float Vector __attribute__((ext_vector_type(LANES)));
typedef int32_t Places __attribute__((ext_vector_type(LANES)));

static inline Vector load(const float *from) {
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof vector);
    return vector;
}

static inline void store(float *to, Vector vector) { __builtin_memcpy(to, &vector, sizeof vector); }

static inline int64_t first_of(int slice, int64_t count, int slices) { return count * slice / slices; }
