/* SPDX-License-Identifier: Apache-2.0
 * Video as ffmpeg writes it to a pipe: raw frames one after the other (-f rawvideo), or with a header that says what
 * they are (-f yuv4mpegpipe). */
#ifndef BRAID_CLI_VIDEO_H
#define BRAID_CLI_VIDEO_H

#include "cli.h"

#include "io.h"

#define VIDEO_Y4M_MAGIC "YUV4MPEG2 "

struct video;

/* `spec`: "640x480:rgb24" (or bgr24, gray8, yuv420p, nv12); NULL: a YUV4MPEG2 header says, of which `head` [n] has been
 * read already. `path`: a file or FIFO, "-" for standard input. BRAID_EINVAL: the spec; BRAID_EFORMAT: the header;
 * BRAID_EIO. */
BRAID_NODISCARD enum braid_status video_open(const char *path, const char *spec, const char *head, size_t n,
                                             struct video **out);
void video_close(struct video **video);
/* The next frame as RGB; the picture is the video's, until the next call. BRAID_ENOTFOUND: the end (a last frame that
 * is cut short is left out, and logged), or a signal came. Blocks until the frame is there. */
BRAID_NODISCARD enum braid_status video_next(struct video *video, struct io_image *out);
const char *video_text(const struct video *video); /* "640x480 rgb24" */

#endif
