// Server-sent events from the text they arrive in, as the WHATWG HTML standard (§9.2.6) parses them, for what
// Latchkey sends. What an event means is not known here.

export type ServerEvent = { readonly id: string | null; readonly event: string; readonly data: string }

/** More than any event of Latchkey's, by far. */
const longest = 4_000_000

/** @returns takes the text piece by piece @throws RangeError when an event does not end */
export function createEventReader(onEvent: (event: ServerEvent) => void): (text: string) => void {
  let rest = ''
  return (text) => {
    const blocks = (rest + text.replaceAll('\r', '')).split('\n\n')
    rest = blocks.pop()!
    if (rest.length > longest) throw new RangeError('An event does not end')
    for (const event of blocks.map(readEvent)) {
      // A comment, sent to keep the connection alive, is none.
      if (event) onEvent(event)
    }
  }
}

function readEvent(block: string): ServerEvent | null {
  let id: string | null = null
  let event = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    const [, field, value = ''] = /^(\w+)(?:: ?(.*))?$/.exec(line) ?? []
    if (field === 'id') id = value
    else if (field === 'event') event = value
    else if (field === 'data') data.push(value)
  }
  return data.length > 0 ? { id, event, data: data.join('\n') } : null
}
