/** Closing a socket that may be gone already, or closing from the other end: either way the outcome is the same. */
export function closeSocket(socket: WebSocket, code?: number, reason?: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // Already closed.
  }
}
