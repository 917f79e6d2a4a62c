/* SPDX-License-Identifier: Apache-2.0
 * Where `braid cloud --results` puts the results that edges leave in the cloud. */
#ifndef BRAID_CLI_RESULTS_H
#define BRAID_CLI_RESULTS_H

#include "cli.h"

struct results;

/* "-": a JSON object a frame on standard output, with the `top` best classes. Else a folder, made where it is missing:
 * ID_OUTPUT.npy, and a line for each frame in results.jsonl when all of its files are there; `spare_bytes` of the disk
 * stay free. CLI_DONE, or an exit status after saying why. */
int results_open(const char *where, int top, size_t spare_bytes, struct results **out);
/* Takes one frame's results. No part of a path is what a peer calls anything, and no file is written twice: for a
 * second frame of the same name, and where the disk is full, BRAID_EIO, and nothing is left behind. One thread at a
 * time. */
BRAID_NODISCARD enum braid_status results_put(struct results *results, const struct braid_result *result);
void results_close(struct results **results);

#endif
