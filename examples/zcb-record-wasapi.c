// SPDX-License-Identifier: MIT
//
// WASAPI, for Windows: event-driven capture in shared mode. Compiled by a test, and never run: the
// rest of zcb-record, and of the library, is for POSIX systems so far.
//
// The audio engine wakes our thread; GetBuffer() shows what has come, which is copied once.
#define COBJMACROS
#define INITGUID
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <initguid.h>

#include <audioclient.h>
#include <avrt.h>
#include <functiondiscoverykeys_devpkey.h>
#include <ksmedia.h>
#include <mmdeviceapi.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zcb-record-backend.h"

#define UNITS_PER_MS 10000 // WASAPI counts in 100 ns

// Convert to what was wished for: since Windows 7. Older headers do not name them.
#ifndef AUDCLNT_STREAMFLAGS_AUTOCONVERTPCM
#define AUDCLNT_STREAMFLAGS_AUTOCONVERTPCM 0x80000000
#endif
#ifndef AUDCLNT_STREAMFLAGS_SRC_DEFAULT_QUALITY
#define AUDCLNT_STREAMFLAGS_SRC_DEFAULT_QUALITY 0x08000000
#endif

struct wasapi {
    struct capture *capture;
    IMMDevice *device;
    IAudioClient *client;
    IAudioCaptureClient *frames;
    HANDLE ready; // the engine sets it: there are frames
    HANDLE stop;
    HANDLE thread;
    WAVEFORMATEXTENSIBLE format;
    bool com; // CoInitializeEx() is to be undone, on the thread of open and close
};

static int
refuse(char why[BACKEND_WHY], const char *what, HRESULT result)
{
    snprintf(why, BACKEND_WHY, "%s: error 0x%08lx", what, (unsigned long)result);
    return result == E_OUTOFMEMORY                  ? -ENOMEM
           : result == AUDCLNT_E_DEVICE_IN_USE      ? -EBUSY
           : result == E_ACCESSDENIED               ? -EACCES
           : result == REGDB_E_CLASSNOTREG          ? -ECONNREFUSED
           : result == AUDCLNT_E_UNSUPPORTED_FORMAT ? -EINVAL
                                                    : -ENODEV;
}

static void
wasapi_stop(void *device)
{
    struct wasapi *w = device;

    if (w->thread == NULL)
        return;
    SetEvent(w->stop);
    WaitForSingleObject(w->thread, INFINITE);
    CloseHandle(w->thread);
    w->thread = NULL;
    IAudioClient_Stop(w->client);
}

static void
wasapi_close(void *device)
{
    struct wasapi *w = device;

    wasapi_stop(w);
    if (w->frames != NULL)
        IAudioCaptureClient_Release(w->frames);
    if (w->client != NULL)
        IAudioClient_Release(w->client);
    if (w->device != NULL)
        IMMDevice_Release(w->device);
    if (w->ready != NULL)
        CloseHandle(w->ready);
    if (w->stop != NULL)
        CloseHandle(w->stop);
    if (w->com)
        CoUninitialize();
    free(w);
}

static HRESULT
make_enumerator(IMMDeviceEnumerator **out)
{
    return CoCreateInstance(&CLSID_MMDeviceEnumerator, NULL, CLSCTX_ALL, &IID_IMMDeviceEnumerator,
                            (void **)out);
}

// The endpoint with that identifier; NULL: the default one.
static HRESULT
find_device(struct wasapi *w, const char *id)
{
    IMMDeviceEnumerator *all = NULL;
    HRESULT result = make_enumerator(&all);

    if (FAILED(result))
        return result;
    if (id == NULL) {
        result = IMMDeviceEnumerator_GetDefaultAudioEndpoint(all, eCapture, eConsole, &w->device);
    } else {
        WCHAR wide[512];

        result = MultiByteToWideChar(CP_UTF8, 0, id, -1, wide, 512) > 0
                     ? IMMDeviceEnumerator_GetDevice(all, wide, &w->device)
                     : E_INVALIDARG;
    }
    IMMDeviceEnumerator_Release(all);
    return result;
}

static uint8_t
sample_of(const WAVEFORMATEX *format)
{
    const WAVEFORMATEXTENSIBLE *wide = (const void *)format;
    const bool is_float = format->wFormatTag == WAVE_FORMAT_IEEE_FLOAT ||
                          (format->wFormatTag == WAVE_FORMAT_EXTENSIBLE &&
                           IsEqualGUID(&wide->SubFormat, &KSDATAFORMAT_SUBTYPE_IEEE_FLOAT));

    return is_float                       ? ZCB_AUDIO_F32
           : format->wBitsPerSample == 16 ? ZCB_AUDIO_S16
           : format->wBitsPerSample == 24 ? ZCB_AUDIO_S24
                                          : ZCB_AUDIO_S32;
}

// What is wished for, and where nothing is, what the engine mixes in. Into w->format.
static int
settle(struct wasapi *w, const struct backend_wish *wish, struct zcb_audio_format *format,
       char why[BACKEND_WHY])
{
    WAVEFORMATEX *mix = NULL;
    HRESULT result = IAudioClient_GetMixFormat(w->client, &mix);
    WAVEFORMATEX *out = &w->format.Format;
    DWORD speakers = 0;

    if (FAILED(result))
        return refuse(why, "the device tells no format", result);
    *format = wish->format;
    format->rate = format->rate != 0 ? format->rate : mix->nSamplesPerSec;
    format->channels = format->channels != 0 ? format->channels : mix->nChannels;
    format->sample = format->sample != 0 ? format->sample : sample_of(mix);
    if (mix->wFormatTag == WAVE_FORMAT_EXTENSIBLE && mix->nChannels == format->channels)
        speakers = ((const WAVEFORMATEXTENSIBLE *)(const void *)mix)->dwChannelMask;
    CoTaskMemFree(mix);
    out->wFormatTag = WAVE_FORMAT_EXTENSIBLE;
    out->nChannels = format->channels;
    out->nSamplesPerSec = format->rate;
    out->wBitsPerSample = (WORD)(8 * zcb_audio_sample_bytes(format));
    out->nBlockAlign = (WORD)zcb_audio_frame_bytes(format);
    out->nAvgBytesPerSec = format->rate * out->nBlockAlign;
    out->cbSize = sizeof(w->format) - sizeof(w->format.Format);
    w->format.Samples.wValidBitsPerSample = out->wBitsPerSample;
    w->format.dwChannelMask = speakers;
    w->format.SubFormat = format->sample == ZCB_AUDIO_F32 ? KSDATAFORMAT_SUBTYPE_IEEE_FLOAT
                                                          : KSDATAFORMAT_SUBTYPE_PCM;
    return 0;
}

static int
prepare(struct wasapi *w, const struct backend_wish *wish, struct zcb_audio_format *format,
        char why[BACKEND_WHY])
{
    // Enough for a thread that is late; the engine decides how often it wakes us.
    const REFERENCE_TIME length = (REFERENCE_TIME)(500 + 2 * wish->packet_ms) * UNITS_PER_MS;
    HRESULT result;
    int error;

    result = find_device(w, wish->device);
    if (FAILED(result))
        return refuse(why, wish->device != NULL ? wish->device : "no device to record from",
                      result);
    result =
        IMMDevice_Activate(w->device, &IID_IAudioClient, CLSCTX_ALL, NULL, (void **)&w->client);
    if (FAILED(result))
        return refuse(why, "the device cannot be opened", result);
    error = settle(w, wish, format, why);
    if (error != 0)
        return error;
    result = IAudioClient_Initialize(w->client, AUDCLNT_SHAREMODE_SHARED,
                                     AUDCLNT_STREAMFLAGS_EVENTCALLBACK |
                                         AUDCLNT_STREAMFLAGS_AUTOCONVERTPCM |
                                         AUDCLNT_STREAMFLAGS_SRC_DEFAULT_QUALITY,
                                     length, 0, &w->format.Format, NULL);
    if (FAILED(result))
        return refuse(why, "the device does not take this format", result);
    result = IAudioClient_SetEventHandle(w->client, w->ready);
    if (SUCCEEDED(result))
        result = IAudioClient_GetService(w->client, &IID_IAudioCaptureClient, (void **)&w->frames);
    return FAILED(result) ? refuse(why, "the device cannot be recorded from", result) : 0;
}

static int
wasapi_open(struct capture *capture, const struct backend_wish *wish,
            struct zcb_audio_format *format, void **out, char why[BACKEND_WHY])
{
    struct wasapi *w = calloc(1, sizeof(*w));
    HRESULT result;
    int error;

    if (w == NULL) {
        snprintf(why, BACKEND_WHY, "out of memory");
        return -ENOMEM;
    }
    w->capture = capture;
    // A thread that has chosen the other model can be lived with.
    result = CoInitializeEx(NULL, COINIT_MULTITHREADED);
    w->com = SUCCEEDED(result);
    w->ready = CreateEventW(NULL, FALSE, FALSE, NULL);
    w->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (w->ready == NULL || w->stop == NULL) {
        snprintf(why, BACKEND_WHY, "no events: error %lu", (unsigned long)GetLastError());
        error = -ENOMEM;
    } else {
        error = prepare(w, wish, format, why);
    }
    if (error != 0) {
        wasapi_close(w);
        return error;
    }
    *out = w;
    return 0;
}

// All packets that wait. An error of the device.
static HRESULT
drain(struct wasapi *w)
{
    for (;;) {
        struct zcb_audio_stamp stamp = {0};
        UINT64 position = 0, time = 0;
        UINT32 count = 0;
        BYTE *data = NULL;
        DWORD flags = 0;
        HRESULT result;

        // AUDCLNT_S_BUFFER_EMPTY is a success without frames.
        result = IAudioCaptureClient_GetBuffer(w->frames, &data, &count, &flags, &position, &time);
        if (FAILED(result) || result == AUDCLNT_S_BUFFER_EMPTY)
            return result;
        // Where the engine converts, positions are the device's and not those of these frames: that
        // something is missing is told by the flag, how much by nobody.
        if ((flags & AUDCLNT_BUFFERFLAGS_DATA_DISCONTINUITY) != 0)
            stamp.flags = ZCB_AUDIO_DISCONTINUITY;
        if ((flags & AUDCLNT_BUFFERFLAGS_TIMESTAMP_ERROR) == 0)
            stamp.now_ns = time * 100;
        capture_copy(w->capture, (flags & AUDCLNT_BUFFERFLAGS_SILENT) != 0 ? NULL : data, count,
                     &stamp);
        result = IAudioCaptureClient_ReleaseBuffer(w->frames, count);
        if (FAILED(result))
            return result;
    }
}

static DWORD WINAPI
run(void *arg)
{
    struct wasapi *w = arg;
    HANDLE events[2] = {w->stop, w->ready};
    DWORD task = 0;
    HRESULT com = CoInitializeEx(NULL, COINIT_MULTITHREADED);
    HANDLE boost = AvSetMmThreadCharacteristicsW(L"Pro Audio", &task);

    capture_warm(w->capture);
    while (!capture_ended(w->capture)) {
        // A device that is taken away sets no event any more: look at it now and then.
        DWORD which = WaitForMultipleObjects(2, events, FALSE, 1000);
        HRESULT result;

        if (which == WAIT_OBJECT_0 || which == WAIT_FAILED)
            break;
        result = drain(w);
        if (FAILED(result)) {
            capture_lost(w->capture, "the device has gone: error 0x%08lx", (unsigned long)result);
            break;
        }
    }
    if (boost != NULL)
        AvRevertMmThreadCharacteristics(boost);
    if (SUCCEEDED(com))
        CoUninitialize();
    return 0;
}

static int
wasapi_start(void *device, char why[BACKEND_WHY])
{
    struct wasapi *w = device;
    HRESULT result;

    w->thread = CreateThread(NULL, 0, run, w, 0, NULL);
    if (w->thread == NULL) {
        snprintf(why, BACKEND_WHY, "no thread: error %lu", (unsigned long)GetLastError());
        return -ENOMEM;
    }
    result = IAudioClient_Start(w->client);
    return FAILED(result) ? refuse(why, "the device does not start", result) : 0;
}

static void
list_device(IMMDevice *device, void (*each)(const char *name, const char *words))
{
    char name[512] = "", words[512] = "";
    IPropertyStore *store = NULL;
    PROPVARIANT value;
    WCHAR *id = NULL;

    if (SUCCEEDED(IMMDevice_GetId(device, &id))) {
        WideCharToMultiByte(CP_UTF8, 0, id, -1, name, sizeof(name), NULL, NULL);
        CoTaskMemFree(id);
    }
    if (SUCCEEDED(IMMDevice_OpenPropertyStore(device, STGM_READ, &store))) {
        PropVariantInit(&value);
        if (SUCCEEDED(IPropertyStore_GetValue(store, &PKEY_Device_FriendlyName, &value)) &&
            value.vt == VT_LPWSTR)
            WideCharToMultiByte(CP_UTF8, 0, value.pwszVal, -1, words, sizeof(words), NULL, NULL);
        PropVariantClear(&value);
        IPropertyStore_Release(store);
    }
    each(name, words);
}

static int
wasapi_list(void (*each)(const char *name, const char *words), char why[BACKEND_WHY])
{
    IMMDeviceEnumerator *all = NULL;
    IMMDeviceCollection *found = NULL;
    HRESULT com = CoInitializeEx(NULL, COINIT_MULTITHREADED), result;
    UINT count = 0;

    result = make_enumerator(&all);
    if (SUCCEEDED(result))
        result = IMMDeviceEnumerator_EnumAudioEndpoints(all, eCapture, DEVICE_STATE_ACTIVE, &found);
    if (SUCCEEDED(result))
        result = IMMDeviceCollection_GetCount(found, &count);
    for (UINT i = 0; SUCCEEDED(result) && i < count; i++) {
        IMMDevice *device = NULL;

        if (FAILED(IMMDeviceCollection_Item(found, i, &device)))
            continue; // it went away meanwhile
        list_device(device, each);
        IMMDevice_Release(device);
    }
    if (found != NULL)
        IMMDeviceCollection_Release(found);
    if (all != NULL)
        IMMDeviceEnumerator_Release(all);
    if (SUCCEEDED(com))
        CoUninitialize();
    return FAILED(result) ? refuse(why, "no list of devices", result) : 0;
}

const struct backend backend_wasapi = {
    .name = "wasapi",
    .open = wasapi_open,
    .start = wasapi_start,
    .stop = wasapi_stop,
    .close = wasapi_close,
    .list = wasapi_list,
};
