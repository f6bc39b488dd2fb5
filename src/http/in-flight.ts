// How many requests are being answered, by Node's server. Of those that a client has sent ahead before it went away,
// Node says nothing but that the connection is closed, so they are counted by connection.
import type { Socket } from 'node:net'
import type { Gauge } from 'prom-client'

export type InFlight = {
  begin(socket: Socket): void
  end(socket: Socket): void
}

export function countInFlight(gauge: Gauge): InFlight {
  const due = new WeakMap<Socket, number>()
  const add = (socket: Socket, change: number) => {
    due.set(socket, (due.get(socket) ?? 0) + change)
    gauge.inc(change)
  }
  const drop = (socket: Socket) => add(socket, -(due.get(socket) ?? 0))
  return {
    begin(socket) {
      if (!due.has(socket)) socket.once('close', () => drop(socket))
      add(socket, 1)
    },
    end(socket) {
      // What the end of its connection has ended already does not end again.
      if (due.get(socket)! > 0) add(socket, -1)
    },
  }
}
