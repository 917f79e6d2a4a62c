/* SPDX-License-Identifier: Apache-2.0
 * Diagrams by gnuplot: a script with the points in it is written to a temporary file and run as a child process. No
 * plotting code of our own, and none linked. */
#ifndef BRAID_CLI_GNUPLOT_H
#define BRAID_CLI_GNUPLOT_H

#include "braid/base.h"

#include <stdio.h>

/* `put` writes the script but for its terminal and output. `path` ends in .svg or .png; errors name `option`.
 * BRAID_ENOTFOUND: there is no gnuplot. */
BRAID_NODISCARD enum braid_status gnuplot_draw(const char *option, const char *path, int width, int height,
                                               void (*put)(void *ctx, FILE *out), void *ctx);
/* Text that may stand between single quotes. */
void gnuplot_text(FILE *out, const char *text);

#endif
