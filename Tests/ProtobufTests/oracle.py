"""The reference implementation of protobuf, asked by ProtobufTests.

usage: oracle.py echo      each line of hex on stdin is parsed as test.Everything and written back, deterministically
       oracle.py random N  N random messages of test.Everything, as hex
"""
import random
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

F = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name="everything.proto", package="test", syntax="proto3")
message = file.message_type.add(name="Everything")


def field(name, number, type, label=F.LABEL_OPTIONAL, type_name=None, presence=False):
    f = message.field.add(name=name, number=number, type=type, label=label)
    if type_name:
        f.type_name = type_name
    if presence:
        f.proto3_optional = True
        f.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name="_" + name)


def string_map(name, number, value_type, type_name=None):
    entry = message.nested_type.add(name=name.capitalize() + "Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    value = entry.field.add(name="value", number=2, type=value_type, label=F.LABEL_OPTIONAL)
    if type_name:
        value.type_name = type_name
    field(name, number, F.TYPE_MESSAGE, F.LABEL_REPEATED, f".test.Everything.{entry.name}")


field("u32", 1, F.TYPE_UINT32)
field("u64", 2, F.TYPE_UINT64)
field("i32", 3, F.TYPE_INT32)
field("i64", 4, F.TYPE_INT64)
field("flag", 5, F.TYPE_BOOL)
field("text", 6, F.TYPE_STRING)
field("blob", 7, F.TYPE_BYTES)
field("real", 8, F.TYPE_DOUBLE)
field("child", 10, F.TYPE_MESSAGE, type_name=".test.Everything")
field("maybe", 11, F.TYPE_INT64, presence=True)
field("texts", 12, F.TYPE_STRING, F.LABEL_REPEATED)
field("numbers", 13, F.TYPE_UINT32, F.LABEL_REPEATED)
field("children", 14, F.TYPE_MESSAGE, F.LABEL_REPEATED, ".test.Everything")
string_map("labels", 15, F.TYPE_STRING)
string_map("parts", 200, F.TYPE_MESSAGE, ".test.Everything")

pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Everything = message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("test.Everything"))


def pick(rng, bits, signed=False):
    value = rng.choice([0, 1, 127, 128, 2**bits - 1, rng.getrandbits(bits), rng.getrandbits(bits // 4)])
    return value - 2 ** (bits - 1) if signed else value


def word(rng):
    return "".join(rng.choice("aZ é中\U0001f600") for _ in range(rng.randrange(0, 40)))


def fill(m, rng, depth):
    if rng.random() < 0.5: m.u32 = pick(rng, 32)
    if rng.random() < 0.5: m.u64 = pick(rng, 64)
    if rng.random() < 0.5: m.i32 = pick(rng, 32, True)
    if rng.random() < 0.5: m.i64 = pick(rng, 64, True)
    if rng.random() < 0.5: m.flag = True
    if rng.random() < 0.5: m.text = word(rng)
    if rng.random() < 0.5: m.blob = rng.randbytes(rng.randrange(0, 300))
    if rng.random() < 0.5: m.real = rng.choice([0.0, -0.0, 1.5, float("inf"), rng.random()])
    if rng.random() < 0.5: m.maybe = rng.choice([0, pick(rng, 64, True)])
    for _ in range(rng.choice([0, 0, 1, 3])): m.texts.append(word(rng))
    for _ in range(rng.choice([0, 0, 1, 5])): m.numbers.append(pick(rng, 32))
    for _ in range(rng.choice([0, 0, 1, 3])): m.labels[word(rng)] = word(rng)
    if depth:
        if rng.random() < 0.5: fill(m.child, rng, depth - 1)
        for _ in range(rng.choice([0, 0, 2])): fill(m.children.add(), rng, depth - 1)
        for _ in range(rng.choice([0, 0, 2])): fill(m.parts[word(rng)], rng, depth - 1)


if sys.argv[1] == "echo":
    for line in sys.stdin:
        print(Everything.FromString(bytes.fromhex(line)).SerializeToString(deterministic=True).hex())
else:
    rng = random.Random(20)
    for _ in range(int(sys.argv[2])):
        m = Everything()
        fill(m, rng, 3)
        print(m.SerializeToString(deterministic=True).hex())
