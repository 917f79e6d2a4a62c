/* SPDX-License-Identifier: Apache-2.0
 * A temporary folder for files that commands hand to the processes they start. */
#ifndef BRAID_CLI_TEMPDIR_H
#define BRAID_CLI_TEMPDIR_H

#include "cli.h"

#define TEMPDIR_BYTES 64

/* A new folder in TMPDIR (or /tmp) whose name begins with braid-`what`-; "" on failure. */
BRAID_NODISCARD enum braid_status tempdir_make(const char *what, char dir[TEMPDIR_BYTES]);
/* It and all that is in it; dir becomes "". Nothing happens where it is "" already. */
void tempdir_remove(char dir[TEMPDIR_BYTES]);

#endif
