/* The load of the benchmarks: sends frames, or counts what arrives, at more than varpd can do.
 *
 *   load send IFACE COUNT RATE FIRST SPAN
 *     Sends COUNT frames of 100 bytes by IFACE, RATE a second (0: as fast as it can), to SPAN MACs
 *     in turn: 02:62, then FIRST, FIRST + 1, ... in four bytes. Their source is 02:73:00:00:00:01. Ethertype 0x88b5 (IEEE Std 802,
 *     local experimental use 1); behind it the number of the frame and the time of sending, both
 *     eight bytes, big-endian, nanoseconds of CLOCK_REALTIME.
 *     Prints the frames sent and the seconds that it took.
 *
 *   load count PORT SECONDS COUNT FILE
 *     Counts VXLAN datagrams on UDP port PORT that carry such frames until COUNT have come or
 *     none has come for SECONDS; prints "ready" before. Writes to FILE for each when it was sent
 *     and when it came (eight bytes, nanoseconds of CLOCK_REALTIME), and the last four bytes of
 *     its destination MAC as a number, in eight; all in the byte order of the machine.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FRAME = 100, ETHERTYPE = 0x88b5, VXLAN = 8, HEADER = 14, BUFFER = 2048, PAUSE = 50000 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put(uint8_t *to, uint64_t value) {
    for (int i = 7; i >= 0; i--, value >>= 8)
        to[i] = (uint8_t)value;
}

static uint64_t get(const uint8_t *from) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | from[i];
    return value;
}

static void mac(uint8_t *to, uint8_t kind, uint32_t number) {
    to[0] = 0x02;
    to[1] = kind;
    for (int i = 0; i < 4; i++)
        to[2 + i] = (uint8_t)(number >> 8 * (3 - i));
}

static int send_frames(const char *iface, uint64_t count, uint64_t rate, uint32_t first,
                       uint32_t span) {
    static uint8_t frames[BATCH][FRAME];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(iface)};
    if (fd < 0 || to.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail(iface);
    int size = 1 << 24;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){frames[i], FRAME};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        mac(frames[i] + 6, 0x73, 1);
        frames[i][12] = ETHERTYPE >> 8;
        frames[i][13] = ETHERTYPE & 0xff;
    }
    uint64_t began = now(CLOCK_MONOTONIC), sent = 0;
    while (sent < count) {
        uint64_t due = count;
        if (rate) {
            due = (now(CLOCK_MONOTONIC) - began) * rate / 1000000000u + 1;
            if (due <= sent) {
                /* It sleeps until the next one, or a few, so as to take no processor away. */
                uint64_t wait = 500000000u / rate;
                struct timespec pause = {0, (long)(wait < PAUSE ? PAUSE : wait)};
                nanosleep(&pause, NULL);
                continue;
            }
        }
        if (due > count)
            due = count;
        unsigned some = due - sent < BATCH ? (unsigned)(due - sent) : BATCH;
        uint64_t time = now(CLOCK_REALTIME);
        for (unsigned i = 0; i < some; i++) {
            mac(frames[i], 0x62, first + (uint32_t)((sent + i) % span));
            put(frames[i] + HEADER, sent + i);
            put(frames[i] + HEADER + 8, time);
        }
        int done = sendmmsg(fd, messages, some, 0);
        if (done < 0) {
            if (errno == ENOBUFS || errno == EAGAIN)
                continue;
            fail("sendmmsg");
        }
        sent += (uint64_t)done;
    }
    printf("%llu %.6f\n", (unsigned long long)sent, (double)(now(CLOCK_MONOTONIC) - began) / 1e9);
    return 0;
}

static uint64_t stamp(struct msghdr *message) {
    struct cmsghdr *found = CMSG_FIRSTHDR(message);
    if (!found || found->cmsg_level != SOL_SOCKET || found->cmsg_type != SCM_TIMESTAMPNS)
        return now(CLOCK_REALTIME);
    struct timespec t;
    memcpy(&t, CMSG_DATA(found), sizeof t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int count_frames(uint16_t port, double seconds, uint64_t count, const char *name) {
    static uint8_t data[BATCH][BUFFER];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    static char stamps[BATCH][CMSG_SPACE(sizeof(struct timespec))];
    uint64_t(*records)[3] = malloc(count * sizeof *records);
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), size = 1 << 26, on = 1;
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    /* When the kernel got it: how soon this program runs says nothing of who sent it. */
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (!records || fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        fail("bind");
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){data[i], BUFFER};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = stamps[i];
    }
    printf("ready\n");
    fflush(stdout);
    uint64_t seen = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    /* The first may take longer: whoever started this has still to start the sender. */
    while (seen < count && poll(&wait, 1, seen ? (int)(seconds * 1000) : 30000) > 0) {
        for (int i = 0; i < BATCH; i++)
            messages[i].msg_hdr.msg_controllen = sizeof stamps[i];
        int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got && seen < count; i++) {
            const uint8_t *frame = data[i] + VXLAN;
            if (messages[i].msg_len < VXLAN + HEADER + 16 || frame[12] != ETHERTYPE >> 8 ||
                frame[13] != (ETHERTYPE & 0xff))
                continue;
            records[seen][0] = get(frame + HEADER + 8);
            records[seen][1] = stamp(&messages[i].msg_hdr);
            records[seen++][2] = (uint64_t)frame[2] << 24 | frame[3] << 16 | frame[4] << 8 | frame[5];
        }
    }
    FILE *file = fopen(name, "wb");
    if (!file || fwrite(records, sizeof *records, seen, file) != seen || fclose(file) != 0)
        fail(name);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 7 && strcmp(argv[1], "send") == 0)
        return send_frames(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10),
                           (uint32_t)strtoul(argv[5], NULL, 10),
                           (uint32_t)strtoul(argv[6], NULL, 10));
    if (argc == 6 && strcmp(argv[1], "count") == 0)
        return count_frames((uint16_t)atoi(argv[2]), atof(argv[3]), strtoull(argv[4], NULL, 10),
                            argv[5]);
    fprintf(stderr, "usage: load send IFACE COUNT RATE FIRST SPAN | count PORT SECONDS COUNT FILE\n");
    return 2;
}
