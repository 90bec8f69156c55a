/* What the processor can multiply and add at most: in registers alone, with nothing to load or store. */

#include "team.h"

enum { CHAINS = 12 };  // an addition takes four cycles and two begin in each, so eight would do; sixteen registers hold 12

typedef struct {
    float *sums;     // (slices,)
    int64_t rounds;  // of CHAINS × LANES multiplications and additions, for each slice
} Peak;

_Static_assert(sizeof(Peak) == CALL_BYTES, "peak.py has another Peak");

void multiply_and_add(const Peak *peak, int slice) {
    Vector sums[CHAINS];
    for (int chain = 0; chain < CHAINS; chain++) sums[chain] = chain;
    const Vector factor = 0.999f;
    for (int64_t round = 0; round < peak->rounds; round++)
        UNROLL for (int chain = 0; chain < CHAINS; chain++) sums[chain] = sums[chain] * factor + factor;
    float sum = 0;
    for (int chain = 0; chain < CHAINS; chain++) sum += sums[chain][0];
    peak->sums[slice] = sum;  // so that the compiler does not leave it all out
}
