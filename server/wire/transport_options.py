"""Where gRPC listens, and the bounds that gRPC itself keeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Where to listen, and the bounds of a call, a stream and a connection."""

    address: str = "127.0.0.1:8001"  # port 0 takes a free one
    max_message_bytes: int = 64 * 2**20  # also once decompressed, and of what one stream has on its way
    max_call_secs: float = 10.0  # for callers that set no deadline, or a later one
    keepalive_secs: float = 60.0  # how often a silent peer is asked whether it is there
    keepalive_timeout_secs: float = 20.0  # how long it may take to answer that
    min_client_ping_secs: float = 10.0  # clients that ping more often are cut off
    # Of one connection. Not fewer than callers have: gRPC refuses what comes while ended streams are cleared.
    max_concurrent_streams: int = 1024
    max_metadata_bytes: int = 16 * 2**10
    max_connections: int = 2**14  # at once, on our own HTTP/2; some 5 KiB each
    # gRPC spreads it by a tenth. Streams are closed at this age too, once their answers are out.
    max_connection_age_secs: float = 600.0
    # Else a second server on the same port starts too, and takes half of the calls.
    shares_port: bool = False

    def channel_arguments(self) -> list[tuple[str, int]]:
        """Say it in gRPC's words."""
        return [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_concurrent_streams", self.max_concurrent_streams),
            # Between the two gRPC would refuse by chance.
            ("grpc.max_metadata_size", self.max_metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.max_metadata_bytes),
            ("grpc.so_reuseport", int(self.shares_port)),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_secs)),
            ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout_secs)),
            # By itself the one above leaves a peer that never answers for a minute.
            ("grpc.http2.ping_timeout_ms", _ms(self.keepalive_timeout_secs)),
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(self.min_client_ping_secs)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.max_connection_age_ms", _ms(self.max_connection_age_secs)),
            # So long a stream lives that began in the connection's last moment, and the calls on it.
            ("grpc.max_connection_age_grace_ms", _ms(self.max_connection_age_secs + self.max_call_secs)),
        ]


def _ms(seconds: float) -> int:
    """Convert, to at most what gRPC takes."""
    return int(min(seconds * 1000, 2**31 - 1))
