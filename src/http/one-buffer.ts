// Reading into one buffer for all connections, instead of a fresh one of 64 KB for each read, which costs a check a tenth.
// net.Socket can do so for connections that it opens (`onread`); for those that a server accepts it has the same parts, but
// no door to them. Where a version of Node lacks one of these, connections are read as usual.
import type { Socket } from 'node:net'

/** What is read next, by whoever has the socket, begins at its first byte. */
const shared = Buffer.alloc(64 * 1024)

type Parts = {
  readonly _handle?: { useUserBuffer?: (buffer: Buffer) => void } | null
  [name: symbol]: unknown
}

/**
 * @param onBytes is given what came, which is good until it returns
 * @returns how to go on as usual; null: this connection cannot be read so, and nothing has changed
 */
export function readIntoOneBuffer(socket: Socket, onBytes: (bytes: Buffer) => void): (() => void) | null {
  const parts = socket as unknown as Parts
  const [buffer, callback] = ['kBuffer', 'kBufferCb'].map((name) =>
    Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === name),
  )
  const handle = parts._handle
  if (!buffer || !callback || typeof handle?.useUserBuffer !== 'function') return null
  parts[buffer] = shared
  parts[callback] = (length: number) => onBytes(shared.subarray(0, length))
  handle.useUserBuffer(shared)
  return () => {
    parts[callback] = (length: number) => socket.push(Buffer.from(shared.subarray(0, length)))
  }
}
