// A server that is closed waits for its connections, and Node stops watching over them: what was received is answered, but
// whoever does not send the rest of a request, or does not take an answer, would hold the stop up for ever.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** From the stop on, or from the answer, if that comes later. */
export const patienceMs = 5_000
const lookEveryMs = 500

/** @param isAtWork whether it is for us to go on: a whole request of this connection is still to be answered */
export function limitPatience(server: Server, isAtWork: (socket: Socket) => boolean): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const close = server.close.bind(server)
  server.close = (done) => {
    const waitingSince = new Map<Socket, number>()
    const looking = setInterval(() => {
      const now = performance.now()
      for (const socket of sockets) {
        const since = waitingSince.get(socket)
        if (isAtWork(socket)) waitingSince.delete(socket)
        else if (since === undefined) waitingSince.set(socket, now)
        else if (now - since >= patienceMs) socket.destroy()
      }
    }, lookEveryMs).unref()
    server.once('close', () => clearInterval(looking))
    return close(done)
  }
}
