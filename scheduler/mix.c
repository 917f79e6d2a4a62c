/* SPDX-License-Identifier: Apache-2.0
 * Dealing frames to the plans of a mix by smooth weighted round-robin: every part earns its weight each frame, the richest
 * serves the frame and pays one. Credits stay within (-1, 1), so shares are kept to within one frame. */
#include "braid/scheduler.h"

int braid_mix_next(const struct braid_plan *plan, double *credit) {
  int richest = 0;
  for (int i = 0; i < plan->n_mix; i++) {
    credit[i] += plan->mix_weight[i];
    if (credit[i] > credit[richest]) richest = i;
  }
  if (plan->n_mix > 0) credit[richest] -= 1;
  return richest;
}
