"""The limits of one server: uploads, queue, memory, and times."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    max_upload_bytes: int = 60_000_000  # photo and depth together
    max_pixels: int = 50_000_000
    max_waiting: int = 8  # photos in the queue; more are answered with 429
    max_uploads: int = 4  # that arrive at the same time
    max_connections: int = 480  # open at the same time; more are hung up on
    max_requests: int = 420  # in flight at the same time
    max_headers: int = 100  # lines of a request
    head_s: float = 10.0  # for the head of a request to arrive
    upload_s: float = 60.0  # for all of it to arrive
    least_bytes_per_s: int = 8_000  # of an upload, after its first `patience_s`
    patience_s: float = 5.0
    piece_s: float = 20.0  # for a piece of an answer to be taken
    photo_s: float = 600.0  # for a photo to become a scene
    keep_s: float = 24 * 3600.0  # after that the files of a scene are deleted
    sweep_s: float = 60.0  # interval of deleting old scenes while no request comes
    max_kept: int = 100  # the oldest ones are deleted before that
