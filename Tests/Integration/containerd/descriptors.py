"""gRPC clients without generated code: containerd's program carries the descriptors of every message and service it speaks,
CRI's among them, so the tests use exactly those of the containerd under test."""

import functools
import zlib

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

#: How the Go compiler of protocol buffers begins a compressed descriptor: gzip, no name, no time, highest compression.
MARK = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


def files(program):
    """FileDescriptorProtos inside a Go program, by name. CRI's `api.proto` is taken in its version `runtime.v1`."""
    with open(program, "rb") as file:
        data = file.read()
    found, place = {}, data.find(MARK)
    while place >= 0:
        try:
            descriptor = descriptor_pb2.FileDescriptorProto.FromString(
                zlib.decompressobj(31).decompress(data[place:place + (1 << 18)]))
        except Exception:  # Bytes that only look like a descriptor.
            descriptor = None
        if descriptor and descriptor.package != "runtime.v1alpha2":
            found.setdefault(descriptor.name, descriptor)
        place = data.find(MARK, place + 1)
    return found


def pool(program):
    """Descriptors that can be used, without the Go-only options and the imports for them."""
    found, result, names = files(program), descriptor_pool.DescriptorPool(), {}
    # The same file is imported by several names: by its full path, or by that of a program's vendored copy.
    for name in found:
        names[name.rpartition("/vendor/")[2]] = name

    def add(name, added=set()):
        if name in added:
            return
        added.add(name)
        descriptor = found[name]
        imports = [names.get(word.rpartition("/vendor/")[2]) for word in descriptor.dependency]
        del descriptor.dependency[:], descriptor.public_dependency[:], descriptor.weak_dependency[:]
        for word in imports:
            if word and "gogo" not in word and "fieldpath" not in word and word != "descriptor.proto":
                add(word)
                descriptor.dependency.append(word)
        strip(descriptor)
        result.Add(descriptor)

    for name, descriptor in list(found.items()):
        if descriptor.package.startswith(("runtime.v1", "containerd.", "io.containerd.")):
            add(name)
    return result


def strip(descriptor):
    """Clears options, whose extensions are of no use here."""
    for parts in ("message_type", "nested_type", "enum_type", "service", "method", "field", "value", "oneof_decl"):
        for part in getattr(descriptor, parts, []):
            if parts == "nested_type" and part.options.map_entry:
                part.options.Clear()
                part.options.map_entry = True
            else:
                part.ClearField("options")
            strip(part)
    if isinstance(descriptor, descriptor_pb2.FileDescriptorProto):
        descriptor.ClearField("options")


class Messages:
    """Message classes by full name."""

    def __init__(self, program):
        self.pool = pool(program)
        self.factory = message_factory.MessageFactory(self.pool)

    @functools.cache
    def __call__(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))

    def unpack(self, packed):
        """The message in an Any, whatever comes before its name in the URL."""
        return self(packed.type_url.rpartition("/")[2]).FromString(packed.value)


class Service:
    """Methods of a gRPC service; each takes its request's fields as keyword arguments, nested ones as dictionaries."""

    def __init__(self, channel, messages, name, metadata=()):
        service = messages.pool.FindServiceByName(name)
        for method in service.methods:
            self.add(channel, messages, name, method, tuple(metadata))

    def add(self, channel, messages, name, method, metadata):
        request, response = (messages.factory.GetPrototype(type) for type in (method.input_type, method.output_type))
        streams = descriptor_pb2.MethodDescriptorProto()
        method.CopyToProto(streams)
        kind = channel.unary_stream if streams.server_streaming else channel.unary_unary
        call = kind(f"/{name}/{method.name}", request_serializer=request.SerializeToString,
                    response_deserializer=response.FromString)
        timeout = None if streams.server_streaming else 120

        def invoke(_timeout=timeout, **fields):
            return call(request(**fields), timeout=_timeout, metadata=metadata)
        setattr(self, method.name, invoke)


def connect(socket):
    return grpc.insecure_channel(f"unix://{socket}", options=[("grpc.max_receive_message_length", 64 << 20)])
