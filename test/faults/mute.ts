// Takes notifications, and nothing else, out of what PostgreSQL says to its clients: a channel that is lost while its
// socket and its session live on, as behind a pooler or after an UNLISTEN that nobody meant.
import type { Connection, ProxyOptions } from './proxy.ts'

export type Mute = Required<Pick<ProxyOptions, 'changeServerData'>> & { on: boolean }

const notification = 'A'.charCodeAt(0)

export function muteNotifications(): Mute {
  const readers = new WeakMap<Connection, (chunk: Buffer) => Buffer[]>()
  const mute: Mute = {
    on: false,
    changeServerData(connection, bytes) {
      const read = readers.get(connection) ?? readMessages()
      readers.set(connection, read)
      return Buffer.concat(read(bytes).filter((message) => !(mute.on && message[0] === notification)))
    },
  }
  return mute
}

/** Whole messages only; the rest waits for the next chunk. */
function readMessages(): (chunk: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const messages: Buffer[] = []
    while (rest.length >= 5) {
      const length = 1 + rest.readUInt32BE(1)
      if (rest.length < length) break
      messages.push(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
    return messages
  }
}
