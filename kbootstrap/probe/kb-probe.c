/* kb-probe: listens and dials for `ports.check`, on hosts that may have nothing but a kernel and a shell. No libc, no threads, no allocation.
 *
 *   kb-probe DIRECTORY SECONDS [IFINDEX]
 *
 * It removes itself and DIRECTORY first, so nothing is left whatever ends it; it ends with its standard input, or after SECONDS. IFINDEX is a VXLAN
 * device: «seen ID BYTES» tells of each probe frame that comes out of it.
 * Lines on standard input (addresses in dotted form, numbers in decimal, one space between words):
 *
 *   name TOKEN HOST                              what listeners answer: «TOKEN HOST»
 *   listen tcp|udp ADDRESS PORT                  → listen tcp|udp PORT ERRNO     (0: we listen; 98: somebody does already)
 *   ready                                        → ready
 *   dial ID PROTOCOL ADDRESS PORT SOURCE WANT VNI → dial ID WHAT ERRNO TYPE CODE OFFENDER MILLISECONDS ANSWER
 *   go                                           → done                          (when every dial has its result)
 *
 * SOURCE is 0.0.0.0 or one of our addresses. PROTOCOL is tcp (WANT 1: a listener of ours should answer; 0: the connection is proof enough), udp, or
 * vxlan: a kernel's tunnel answers nobody, so a small probe frame and one that fills WANT bytes are sent to it in the tunnel VNI, never fragmented;
 * that they arrived is told over there. WHAT is open, error (with the ICMP TYPE and CODE and the OFFENDER that sent it; 255 255 where it was none),
 * local (this kernel did not even send) or silent.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, CLOSE = 3, SOCKET = 41, CONNECT = 42, SENDTO = 44, RECVFROM = 45, RECVMSG = 47, BIND = 49, LISTEN = 50, SETSOCKOPT = 54,
       GETSOCKOPT = 55, CLOCK_GETTIME = 228, EXIT_GROUP = 231, EPOLL_CTL = 233, UNLINKAT = 263, EPOLL_PWAIT = 281, ACCEPT4 = 288,
       EPOLL_CREATE1 = 291, PRLIMIT64 = 302 };
#define PACKED __attribute__((packed))
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
static long sys(long n, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { EPOLL_CREATE1 = 20, EPOLL_CTL = 21, EPOLL_PWAIT = 22, UNLINKAT = 35, CLOSE = 57, READ = 63, WRITE = 64, EXIT_GROUP = 94, CLOCK_GETTIME = 113,
       SOCKET = 198, BIND = 200, LISTEN = 201, CONNECT = 203, SENDTO = 206, RECVFROM = 207, SETSOCKOPT = 208, GETSOCKOPT = 209, RECVMSG = 212,
       ACCEPT4 = 242, PRLIMIT64 = 261 };
#define PACKED
__asm__(".globl _start\n_start:\n mov x29, #0\n mov x30, #0\n mov x0, sp\n and sp, x0, #-16\n bl begin\n");
static long sys(long n, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "amd64 and arm64 only"
#endif
#define CALL(n, a, b, c, d, e) sys(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

enum { AF_INET = 2, AF_PACKET = 17, STREAM = 1, DGRAM = 2, NONBLOCK = 04000, CLOEXEC = 02000000, SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_ERROR = 4,
       SOL_IP = 0, IP_MTU_DISCOVER = 10, IP_PMTUDISC_PROBE = 3, IP_RECVERR = 11, IP_BIND_NO_PORT = 24, NOSIGNAL = 0x4000, ERRQUEUE = 0x2000, DONTWAIT = 0x40,
       IN = 1, OUT = 4, ERR = 8, HUP = 16, ADD = 1, MOD = 3, EAGAIN = 11, EINTR = 4, ECONNREFUSED = 111, EADDRNOTAVAIL = 99, EINPROGRESS = 115,
       EMFILE = 24, OUTGOING = 4, PROBE_FRAME = 0xb588 /* 0x88b5 in network order */, RLIMIT_NOFILE = 7 };
enum { TABLE = 8192, JOBS = 65536, ACTIVE = 1024, EVENTS = 256, ANSWER = 96, NOTHING = 255 };
enum { DIAL_MS = 3400,   /* a SYN is sent again after 1 s and 3 s; a neighbour that answers no ARP is given up after 3 s */
       RESEND_MS = 700,  /* of a datagram; a rejecting host may send only one ICMP message a second to each other */
       FRAME_MS = 300 }; /* between the small frame and the full one, and behind it */

struct address { u16 family, port; u32 ip; u8 zero[8]; };
struct epoll_event { u32 events; u64 data; } PACKED;
struct extended { u32 number; u8 origin, type, code, pad; u32 info, data; struct address offender; };
struct iovec { void *base; u64 length; };
struct message { void *name; u32 name_length; struct iovec *parts; u64 count; void *control; u64 control_length; int flags; };

enum protocol { TCP, UDP, VXLAN };
struct job { u32 id, ip, source, vni; u16 port, want; u8 protocol; };
struct link { u16 family, protocol; int ifindex; u16 hatype; u8 type, halen, address[8]; };
enum kind { FREE, STDIN, LISTENS_TCP, LISTENS_UDP, PEER, DIALS, SNIFFS };
struct entry { u64 began, next; struct job job; int fd; u8 kind, connected, sent, length; char answer[ANSWER]; };

static struct entry table[TABLE];
static struct job jobs[JOBS];
static u32 queued, started, finished, active;
static int epoll, asked;
static char reply[ANSWER], datagram[65536], line[512], out[65536];
static u32 reply_length, token_length, line_length, out_length;

void *memset(void *to, int value, u64 count) {
    for (u8 *p = to; count; count--) *p++ = (u8)value;
    return to;
}
void *memcpy(void *to, const void *from, u64 count) {
    for (u8 *p = to; count; count--) *p++ = *(const u8 *)from, from = (const u8 *)from + 1;
    return to;
}

static void leave(int code) {
    for (;;) CALL(EXIT_GROUP, code, 0, 0, 0, 0);
}

static u64 now_ms(void) {
    long value[2];
    CALL(CLOCK_GETTIME, 1, value, 0, 0, 0);
    return (u64)value[0] * 1000 + (u64)value[1] / 1000000;
}

/* --- what we say: collected, and written once per turn */

static void flush(void) {
    for (u32 done = 0; done < out_length;) {
        long n = CALL(WRITE, 1, out + done, out_length - done, 0, 0);
        if (n == -EINTR) continue;
        if (n <= 0) leave(1);
        done += (u32)n;
    }
    out_length = 0;
}

static void say(const char *text, u32 length) {
    if (out_length + length > sizeof out) flush();
    memcpy(out + out_length, text, length);
    out_length += length;
}

static void word(const char *text) {
    u32 length = 0;
    while (text[length]) length++;
    say(text, length);
}

static void number(u64 value) {
    char digits[24];
    u32 at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    say(digits + at, (u32)sizeof digits - at);
}

static void field(u64 value) {
    word(" ");
    number(value);
}

static void dotted(u32 ip) {
    for (int i = 0; i < 4; i++) word(i ? "." : " "), number(ip >> 8 * i & 255);
}

/* --- what we are told */

static u32 parse_number(const char **at) {
    u32 value = 0;
    while (**at == ' ') ++*at;
    while (**at >= '0' && **at <= '9') value = value * 10 + (u32)(*(*at)++ - '0');
    return value;
}

static u32 parse_ip(const char **at) {
    u32 ip = 0;
    for (int i = 0; i < 4; i++) {
        ip |= parse_number(at) << 8 * i;
        if (**at == '.') ++*at;
    }
    return ip;
}

static int begins(const char **at, const char *prefix) {
    const char *p = *at;
    while (*prefix) if (*p++ != *prefix++) return 0;
    *at = p;
    return 1;
}

static struct address address_of(u32 ip, u16 port) {
    struct address found = { AF_INET, (u16)(port << 8 | port >> 8), ip, { 0 } };
    return found;
}

/* --- the table of descriptors */

static struct entry *entry_for(int fd, u8 kind, u32 events) {
    static u32 next;
    for (u32 tried = 0; tried < TABLE; tried++) {
        struct entry *e = &table[next++ % TABLE];
        if (e->kind != FREE) continue;
        struct epoll_event event = { events, (u64)(e - table) };
        if (CALL(EPOLL_CTL, epoll, ADD, fd, &event, 0) < 0) return 0;
        memset(e, 0, sizeof *e);
        e->fd = fd, e->kind = kind;
        return e;
    }
    return 0;
}

static void drop(struct entry *e) {
    CALL(CLOSE, e->fd, 0, 0, 0, 0);
    e->kind = FREE;
}

static void option(int fd, int level, int name, int value) { CALL(SETSOCKOPT, fd, level, name, &value, sizeof value); }

/* --- listening */

static int listen_on(int tcp, u32 ip, u16 port) {
    int fd = (int)CALL(SOCKET, AF_INET, (tcp ? STREAM : DGRAM) | NONBLOCK | CLOEXEC, 0, 0, 0);
    if (fd < 0) return -fd;
    if (tcp) option(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* for connections that linger; with UDP it would share the port of a daemon */
    struct address here = address_of(ip, port), any = address_of(0, port);
    int error = (int)CALL(BIND, fd, &here, sizeof here, 0, 0);
    if (error == -EADDRNOTAVAIL) error = (int)CALL(BIND, fd, &any, sizeof any, 0, 0); /* behind an address translation */
    if (!error && tcp) error = (int)CALL(LISTEN, fd, 4096, 0, 0, 0);
    if (!error && !entry_for(fd, tcp ? LISTENS_TCP : LISTENS_UDP, IN)) error = -EMFILE;
    if (error) CALL(CLOSE, fd, 0, 0, 0, 0);
    return -error;
}

static void welcome(struct entry *e) {
    for (int n = 0; n < 64; n++) {
        int fd = (int)CALL(ACCEPT4, e->fd, 0, 0, NONBLOCK | CLOEXEC, 0);
        if (fd < 0) return;
        CALL(SENDTO, fd, reply, reply_length, NOSIGNAL, 0);
        if (!entry_for(fd, PEER, IN)) CALL(CLOSE, fd, 0, 0, 0, 0); /* else the one who dialled closes first: no TIME_WAIT where a daemon will bind */
    }
}

static int ours(const char *data, long length) {
    if (!token_length || length < (long)token_length) return 0;
    for (u32 i = 0; i < token_length; i++) if (data[i] != reply[i]) return 0;
    return 1;
}

static void echo(struct entry *e) {
    for (int n = 0; n < 64; n++) {
        struct address from;
        u32 size = sizeof from;
        long length = sys(RECVFROM, e->fd, (long)datagram, sizeof datagram, DONTWAIT, (long)&from, (long)&size);
        if (length < 0) return;
        if (ours(datagram, length)) sys(SENDTO, e->fd, (long)reply, reply_length, NOSIGNAL, (long)&from, sizeof from);
    }
}

/* What leaves a tunnel's device has passed the rules for the tunnel's own packets, and none of those for what they carry. */
static void sniff_on(u32 ifindex) {
    struct link device = { AF_PACKET, PROBE_FRAME, (int)ifindex, 0, 0, 0, { 0 } };
    int fd = (int)CALL(SOCKET, AF_PACKET, DGRAM | NONBLOCK | CLOEXEC, 0, 0, 0);
    if (fd < 0) leave(67);
    if (CALL(BIND, fd, &device, sizeof device, 0, 0) < 0 || !entry_for(fd, SNIFFS, IN)) leave(67);
}

static void watch(struct entry *e) {
    for (int n = 0; n < 64; n++) {
        struct link from;
        u32 size = sizeof from;
        long length = sys(RECVFROM, e->fd, (long)datagram, sizeof datagram - 1, DONTWAIT, (long)&from, (long)&size);
        if (length < 0) return;
        if (from.type == OUTGOING || !ours(datagram, length)) continue;
        datagram[length] = 0;
        const char *at = datagram + token_length;
        word("seen"), field(parse_number(&at)), field((u64)length), word("\n");
    }
}

/* --- dialling */

static void result(const struct job *job, u64 began, const char *what, int error, const struct extended *icmp, const char *answer, u32 length) {
    word("dial"), field(job->id), word(" "), word(what), field((u64)error);
    field(icmp ? icmp->type : NOTHING), field(icmp ? icmp->code : NOTHING), dotted(icmp ? icmp->offender.ip : 0);
    field(now_ms() - began), word(" ");
    for (u32 i = 0; i < length; i++) {
        char c = answer[i];
        if (c == '\n') break;
        if (c < 32 || c > 126) c = '?';
        say(&c, 1);
    }
    word("\n");
    finished++;
}

static void end(struct entry *e, const char *what, int error, const struct extended *icmp) {
    result(&e->job, e->began, what, error, icmp, e->answer, e->length);
    drop(e);
    active--;
}

/* The ICMP message behind an error, if there was one. */
static int message_of(int fd, struct extended *found) {
    struct { u64 length; int level, type; struct extended value; u8 more[64]; } control;
    struct iovec part = { datagram, sizeof datagram };
    struct message message = { 0, 0, &part, 1, &control, sizeof control, 0 };
    if (CALL(RECVMSG, fd, &message, ERRQUEUE | DONTWAIT, 0, 0) < 0) return 0;
    if (message.control_length < 16 + sizeof *found || control.level != SOL_IP || control.type != IP_RECVERR) return 0;
    *found = control.value;
    return found->origin == 2;
}

static void failed(struct entry *e, int error) {
    struct extended icmp;
    if (message_of(e->fd, &icmp)) end(e, "error", (int)icmp.number, &icmp);
    else end(e, error == ECONNREFUSED || e->connected == 0 ? "error" : "local", error, 0);
}

/* VXLAN's header and an Ethernet header of the type for local experiments, which no stack takes for anything else. */
static u32 frame_head(const struct job *job) {
    static const u8 head[22] = { 8, 0, 0, 0, 0, 0, 0, 0, 2, 0x6b, 0x62, 0, 0, 1, 2, 0x6b, 0x62, 0, 0, 2, 0x88, 0xb5 };
    memcpy(datagram, head, sizeof head);
    for (int i = 0; i < 3; i++) datagram[4 + i] = (char)(job->vni >> 8 * (2 - i));
    return sizeof head;
}

static void send_datagram(struct entry *e) {
    char digits[12];
    u32 head = e->job.protocol == VXLAN ? frame_head(&e->job) : 0, length = head, at = sizeof digits;
    u64 id = e->job.id;
    memcpy(datagram + length, reply, token_length), length += token_length;
    datagram[length++] = ' ';
    do digits[--at] = (char)('0' + id % 10);
    while (id /= 10);
    memcpy(datagram + length, digits + at, sizeof digits - at), length += (u32)sizeof digits - at;
    datagram[length++] = '\n';
    if (head && e->sent++ && head + e->job.want > length) memset(datagram + length, 0, head + e->job.want - length), length = head + e->job.want;
    long sent = sys(SENDTO, e->fd, (long)datagram, length, NOSIGNAL, 0, 0);
    e->next = now_ms() + (head ? FRAME_MS : RESEND_MS);
    if (sent >= 0 || sent == -EAGAIN) return;
    struct extended icmp;
    if (message_of(e->fd, &icmp)) end(e, "error", (int)icmp.number, &icmp);
    else end(e, sent == -ECONNREFUSED ? "error" : "local", (int)-sent, 0);
}

static void start(const struct job *job) {
    struct address there = address_of(job->ip, job->port), here = address_of(job->source, 0);
    u64 began = now_ms();
    int fd = (int)CALL(SOCKET, AF_INET, (job->protocol == TCP ? STREAM : DGRAM) | NONBLOCK | CLOEXEC, 0, 0, 0);
    if (fd < 0) {
        result(job, began, "local", -fd, 0, 0, 0);
        return;
    }
    option(fd, SOL_IP, IP_RECVERR, 1);
    if (job->protocol == VXLAN) option(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE); /* with DF, whatever sizes were learned */
    long error = 0;
    if (job->source) option(fd, SOL_IP, IP_BIND_NO_PORT, 1), error = CALL(BIND, fd, &here, sizeof here, 0, 0);
    if (!error) error = CALL(CONNECT, fd, &there, sizeof there, 0, 0);
    struct entry *e = error && error != -EINPROGRESS ? 0 : entry_for(fd, DIALS, job->protocol == TCP ? OUT : IN);
    if (!e) {
        result(job, began, error == -ECONNREFUSED ? "error" : "local", error ? (int)-error : EMFILE, 0, 0, 0);
        CALL(CLOSE, fd, 0, 0, 0, 0);
        return;
    }
    e->job = *job, e->began = began, active++;
    if (job->protocol != TCP) {
        e->connected = 1;
        send_datagram(e);
    }
}

static void more(struct entry *e) {
    long length = sys(RECVFROM, e->fd, (long)(e->answer + e->length), ANSWER - 1 - e->length, DONTWAIT, 0, 0);
    if (length == -EAGAIN) return;
    if (length < 0 && e->job.protocol != TCP) {
        failed(e, (int)-length);
        return;
    }
    if (length > 0) e->length = (u8)(e->length + length);
    if (length <= 0 || e->job.protocol != TCP || e->length == ANSWER - 1 || e->answer[e->length - 1] == '\n') end(e, "open", 0, 0);
}

static void dialled(struct entry *e, u32 events) {
    int error = 0;
    u32 size = sizeof error;
    if (e->job.protocol == TCP && !e->connected) {
        CALL(GETSOCKOPT, e->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            failed(e, error);
        } else if (events & OUT) {
            struct epoll_event event = { IN, (u64)(e - table) };
            e->connected = 1;
            if (!e->job.want) end(e, "open", 0, 0);
            else CALL(EPOLL_CTL, epoll, MOD, e->fd, &event, 0);
        }
    } else if (e->job.protocol != TCP && events & ERR) {
        CALL(GETSOCKOPT, e->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        failed(e, error ? error : ECONNREFUSED);
    } else {
        more(e);
    }
}

static void overdue(void) {
    u64 now = now_ms();
    for (u32 i = 0; i < TABLE && active; i++) {
        struct entry *e = &table[i];
        if (e->kind != DIALS) continue;
        if (e->job.protocol == VXLAN && e->sent == 2 && now >= e->next) end(e, "silent", 0, 0);
        else if (now >= e->began + DIAL_MS) end(e, e->job.protocol == TCP && e->connected ? "open" : "silent", 0, 0);
        else if (e->job.protocol != TCP && now >= e->next) send_datagram(e);
    }
}

static void work(void) {
    static u64 looked;
    while (started < queued && active < ACTIVE) start(&jobs[started++]);
    if (active && now_ms() >= looked + 50) overdue(), looked = now_ms();
    if (asked && finished == queued) word("done\n"), asked = 0;
}

/* --- one line of input */

static void obey(void) {
    const char *at = line;
    if (begins(&at, "name ")) {
        reply_length = token_length = 0;
        while (*at && reply_length < ANSWER - 2) {
            if (*at == ' ' && !token_length) token_length = reply_length;
            reply[reply_length++] = *at++;
        }
        reply[reply_length++] = '\n';
    } else if (begins(&at, "listen ")) {
        int tcp = begins(&at, "tcp ");
        if (!tcp) begins(&at, "udp ");
        u32 ip = parse_ip(&at), port = parse_number(&at);
        word(tcp ? "listen tcp" : "listen udp"), field(port), field((u64)listen_on(tcp, ip, (u16)port)), word("\n");
    } else if (begins(&at, "dial ") && queued < JOBS) {
        struct job *job = &jobs[queued++];
        job->id = parse_number(&at);
        job->protocol = begins(&at, " tcp") ? TCP : begins(&at, " udp") ? UDP : begins(&at, " vxlan") ? VXLAN : NOTHING;
        if (job->protocol == NOTHING) leave(65);
        job->ip = parse_ip(&at), job->port = (u16)parse_number(&at), job->source = parse_ip(&at), job->want = (u16)parse_number(&at);
        job->vni = parse_number(&at);
    } else if (begins(&at, "ready")) {
        word("ready\n");
    } else if (begins(&at, "go")) {
        asked = 1;
    } else {
        leave(65);
    }
}

static void hear(void) {
    long length = CALL(READ, 0, datagram, sizeof datagram, 0, 0);
    if (length == -EAGAIN || length == -EINTR) return;
    if (length <= 0) {
        flush();
        leave(0);
    }
    for (long i = 0; i < length; i++) {
        if (datagram[i] != '\n') {
            if (line_length == sizeof line - 1) leave(65);
            line[line_length++] = datagram[i];
            continue;
        }
        line[line_length] = 0, line_length = 0;
        obey();
    }
}

static void turn(u64 until) {
    static struct epoll_event events[EVENTS];
    u64 now = now_ms();
    if (now >= until) leave(124);
    long count = sys(EPOLL_PWAIT, epoll, (long)events, EVENTS, active ? 50 : (long)(until - now), 0, 8);
    for (long i = 0; i < count; i++) {
        struct entry *e = &table[events[i].data];
        if (e->kind == STDIN) hear();
        else if (e->kind == LISTENS_TCP) welcome(e);
        else if (e->kind == LISTENS_UDP) echo(e);
        else if (e->kind == SNIFFS) watch(e);
        else if (e->kind == DIALS) dialled(e, events[i].events);
        else if (e->kind == PEER) drop(e);
    }
    work();
    flush();
}

__attribute__((used)) void begin(long *stack) {
    char **words = (char **)(stack + 1);
    if (stack[0] < 3) leave(64);
    const char *seconds = words[2];
    CALL(UNLINKAT, -100, words[0], 0, 0, 0);
    CALL(UNLINKAT, -100, words[1], 0x200, 0, 0); /* AT_REMOVEDIR */
    u64 limits[2] = { 65536, 65536 }, old[2] = { 0, 0 };
    if (CALL(PRLIMIT64, 0, RLIMIT_NOFILE, limits, old, 0) < 0) {
        CALL(PRLIMIT64, 0, RLIMIT_NOFILE, 0, old, 0);
        old[0] = old[1];
        CALL(PRLIMIT64, 0, RLIMIT_NOFILE, old, 0, 0);
    }
    epoll = (int)CALL(EPOLL_CREATE1, CLOEXEC, 0, 0, 0, 0);
    if (!entry_for(0, STDIN, IN)) leave(66);
    if (stack[0] > 3) {
        const char *ifindex = words[3];
        sniff_on(parse_number(&ifindex));
    }
    u64 until = now_ms() + (u64)parse_number(&seconds) * 1000;
    for (;;) turn(until);
}
