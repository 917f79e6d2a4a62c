/* SPDX-License-Identifier: Apache-2.0
 * Dealing frames to the plans of a mix by smooth weighted round-robin: every part earns its weight each frame, the
 * richest serves the frame and pays one. Credits stay within (-1, 1), so shares are kept to within one frame. And what
 * a mix is expected to do. */
#include "internal.h"

#include <math.h>

int braid_mix_next(const struct braid_plan *plan, double *credit) {
  int richest = 0;
  for (int i = 0; i < plan->n_mix; i++) {
    credit[i] += plan->mix_weight[i];
    if (credit[i] > credit[richest]) richest = i;
  }
  if (plan->n_mix > 0) credit[richest] -= 1;
  return richest;
}

int braid_mix_frames(const struct braid_plan *plan, int part, int window) {
  if (plan->n_mix == 0) return window;
  double share = ceil(plan->mix_weight[part] * window - 1e-9) + 1;
  if (share < plan->mix[part]->window) share = plan->mix[part]->window;
  return share < window ? (int)share : window;
}

void mix_round_weights(struct braid_plan *plan) {
  const double grains = 1e9;
  double left = grains;
  int heaviest = 0;
  for (int i = 0; i < plan->n_mix; i++) {
    double share = fmax(1, round(plan->mix_weight[i] * grains));
    if (plan->mix_weight[i] > plan->mix_weight[heaviest]) heaviest = i;
    plan->mix_weight[i] = share / grains;
    left -= share;
  }
  if (plan->n_mix > 0) plan->mix_weight[heaviest] = (round(plan->mix_weight[heaviest] * grains) + left) / grains;
}

enum braid_status mix_check(const struct braid_plan *plan, const struct braid_graph *graph, bool closed) {
  double sum = 0;
  if (plan->n_mix < 0 || plan->n_mix > BRAID_PLAN_MIX_MAX)
    return braid_fail(BRAID_EINVAL, "a mix of %d plans; at most %d are allowed", plan->n_mix, BRAID_PLAN_MIX_MAX);
  for (int i = 0; i < plan->n_mix; i++) {
    double weight = plan->mix_weight[i];
    if (!(weight > 0 && weight <= 1))
      return braid_fail(BRAID_EINVAL, "part %d of the mix has weight %g; it must be above 0 and at most 1", i, weight);
    if (plan->mix[i]->n_mix != 0) return braid_fail(BRAID_EINVAL, "part %d of the mix is a mix itself", i);
    if (plan->mix[i]->deliver != plan->deliver)
      return braid_fail(BRAID_EINVAL, "part %d of the mix delivers its results to the other side than the mix", i);
    enum braid_status status = braid_plan_check(plan->mix[i], graph, closed);
    if (status != BRAID_OK) return braid_fail_in(status, "part %d of the mix", i);
    sum += weight;
  }
  if (plan->n_mix > 0 && !(fabs(sum - 1) <= 1e-6))
    return braid_fail(BRAID_EINVAL, "the weights of the mix sum to %.9g, they must sum to 1", sum);
  return BRAID_OK;
}
