"""Writes OCI image archives, the same bytes for the same content. For the scripts beside it and for tests."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_digest(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Layer:
    """A layer's tar under construction. Times and owners are fixed unless said otherwise."""

    def __init__(self, format=tarfile.PAX_FORMAT):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=format)

    def entry(self, name, type=tarfile.REGTYPE, mode=0o644, uid=0, gid=0, data=b"", link="", device=None, xattrs=None):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.mtime, info.linkname = type, mode, uid, gid, 0, link
        if device:
            info.devmajor, info.devminor = device
        if xattrs:
            # The convention of GNU tar and Go: raw bytes, which a JSON-safe str carries by surrogates.
            info.pax_headers = {
                "SCHILY.xattr." + key: value.decode("utf-8", "surrogateescape") for key, value in xattrs.items()}
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def directory(self, name, mode=0o755, **more):
        return self.entry(name, tarfile.DIRTYPE, mode, **more)

    def file(self, name, data=b"", mode=0o644, **more):
        return self.entry(name, data=data if isinstance(data, bytes) else data.encode(), mode=mode, **more)

    def symlink(self, name, target, **more):
        return self.entry(name, tarfile.SYMTYPE, 0o777, link=target, **more)

    def hardlink(self, name, target, **more):
        return self.entry(name, tarfile.LNKTYPE, link=target, **more)

    def finish(self):
        self.tar.close()
        return self.buffer.getvalue()


class Image:
    """An image of finished layers. `blobs` maps digests to bytes, and may be spoilt by tests before it is written."""

    def __init__(self, name=None, architecture="amd64", os="linux", config=None):
        self.name, self.architecture, self.os = name, architecture, os
        self.config = config or {}
        self.layers, self.diff_ids, self.blobs = [], [], {}

    def add_layer(self, tar, compression="gzip", media_type=None, diff_id=None):
        """`tar` is bytes; `compression` is gzip, none, or a pair of media type suffix and compressed bytes."""
        suffix, blob = compression if isinstance(compression, tuple) else ("", tar)
        if compression == "gzip":
            suffix, blob = "+gzip", gzip.compress(tar, compresslevel=6, mtime=0)
        self.layers.append({
            "mediaType": media_type or "application/vnd.oci.image.layer.v1.tar" + suffix,
            "digest": self.put(blob), "size": len(blob)})
        self.diff_ids.append(diff_id or digest(tar))
        return self

    def add_layer_file(self, path, compression="gzip"):
        """As `add_layer`, for a tar too large for memory, which must stay until the image is written."""
        self.diff_ids.append(file_digest(path))
        blob, suffix = path, ""
        if compression == "gzip":
            blob, suffix = path + ".gz", "+gzip"
            with open(path, "rb") as source, open(blob, "wb") as raw, \
                    gzip.GzipFile("", "wb", 6, raw, mtime=0) as target:
                shutil.copyfileobj(source, target, 1 << 20)
        elif compression == "zstd":
            blob, suffix = path + ".zst", "+zstd"
            subprocess.run(["zstd", "-q", "-f", path, "-o", blob], check=True)
        key = file_digest(blob)
        self.blobs[key] = pathlib.Path(blob)
        self.layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar" + suffix, "digest": key,
                            "size": os.path.getsize(blob)})
        return self

    def put(self, data):
        self.blobs[digest(data)] = data
        return digest(data)

    def config_document(self):
        return {
            "architecture": self.architecture, "os": self.os, "created": "1970-01-01T00:00:00Z",
            "config": self.config, "rootfs": {"type": "layers", "diff_ids": self.diff_ids}}

    def manifest(self):
        """Puts configuration and manifest among the blobs. Returns the manifest's descriptor."""
        config = to_json(self.config_document())
        manifest = to_json({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.put(config),
                       "size": len(config)},
            "layers": self.layers})
        descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": self.put(manifest),
                      "size": len(manifest), "platform": {"architecture": self.architecture, "os": self.os}}
        if self.name:
            descriptor["annotations"] = {"io.containerd.image.name": self.name,
                                         "org.opencontainers.image.ref.name": self.name.rpartition(":")[2]}
        return descriptor

    def index(self):
        return {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [self.manifest()]}

    def files(self):
        """The layout's files by name, index first so that a reader meets it early."""
        index = to_json(self.index())
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
        for key in sorted(self.blobs):
            files["blobs/" + key.replace(":", "/")] = self.blobs[key]
        return files

    def write(self, path):
        write_tar(path, self.files())


def write_tar(path, files):
    """Writes a tar of plain files, given as bytes or by path, whole or not at all."""
    temporary = f"{path}.tmp.{os.getpid()}"
    try:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.mode = 0o644
                if isinstance(data, pathlib.Path):
                    info.size = data.stat().st_size
                    with open(data, "rb") as file:
                        tar.addfile(info, file)
                else:
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def cache_directory():
    """Where built images are kept between runs, outside the checkout."""
    base = os.environ.get("CLOISTER_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cloister")
    path = os.path.join(base, "images")
    os.makedirs(path, exist_ok=True)
    return path


def cached(output, prefix, key, build):
    """Makes `output` a copy of the image of this key, building it by `build(path)` if it is not in the cache."""
    kept = os.path.join(cache_directory(), f"{prefix}-{key[:16]}.tar")
    if not os.path.exists(kept):
        building = f"{kept}.building.{os.getpid()}"
        try:
            build(building)
            os.replace(building, kept)
        finally:
            if os.path.exists(building):
                os.unlink(building)
    # A copy, not a link: what is done to the output must not be done to the cache.
    temporary = f"{output}.tmp.{os.getpid()}"
    try:
        shutil.copyfile(kept, temporary)
        os.replace(temporary, output)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
