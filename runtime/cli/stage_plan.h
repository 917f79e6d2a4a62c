/* SPDX-License-Identifier: Apache-2.0
 * Plans for the stage's edge, decided here from the profiles that its processes measured. */
#ifndef BRAID_CLI_STAGE_PLAN_H
#define BRAID_CLI_STAGE_PLAN_H

#include "stage.h"

/* For a link of that rate both ways, with the stage's round trip. */
BRAID_NODISCARD enum braid_status stage_decide(const struct stage *stage, const char *policy,
                                               enum braid_objective objective, double bits_per_s,
                                               struct braid_plan **out);
/* As a file for stage_job.plan, with the forecast and the window that it has for the objective on the stage's link. */
BRAID_NODISCARD enum braid_status stage_write_plan(const struct stage *stage, struct braid_plan *plan,
                                                   enum braid_objective objective, const char *path);

#endif
