// SPDX-License-Identifier: MIT

#include <zcbuf/base.h>

const char *
zcb_version(void)
{
    return ZCB_VERSION_STRING;
}

const char *
zcb_strerror(int err)
{
    switch (err < 0 ? -(unsigned)err : (unsigned)err) {
    case 0:
        return "no error";
    case EINVAL:
        return "an argument that no call may pass; fix the call";
    case EAGAIN:
        return "fewer bytes are there than were asked for; receive more and ask again";
    case ERANGE:
        return "outside the object; check the offset and the length";
    case EALREADY:
        return "this block has been received before; ignore it";
    case EBUSY:
        return "reserved or shared by somebody else; wait for them or copy";
    case EXDEV:
        return "the bytes cross chunks; gather or copy them";
    case EBADMSG:
        return "malformed input; close the connection or refuse the file";
    case ENOBUFS:
        return "a configured limit has been reached; give buffers back or raise the limit";
    case ETIMEDOUT:
        return "no buffer came back in time; give buffers back sooner, or raise the limit or the "
               "time";
    case ENOMEM:
        return "the source of memory has none left; give memory back and try again";
    case EMSGSIZE:
        return "a datagram that does not fit and must not be cut; tell its sender the MTU";
    case EOVERFLOW:
        return "a size does not fit; refuse the input it came from";
    case EIO:
        return "a mapped file lost bytes while it was read; drop what was made from it";
    case ESTALE:
        return "a mapped file was written while it was read; read it again";
    case ENOTSUP:
        return "not part of this build, or not possible for this kind of memory or file";
    default:
        return "an error of the operating system; see strerror()";
    }
}
