// Programs that a test starts run as they do for a user. tap has every Node process that one of its own starts load a module
// that reports on it, by way of NODE_OPTIONS: that takes longer than a short command does, and nobody reads what it says.
type Spawning = { readonly listeners: unknown[] }

const hooks = (globalThis as Record<symbol, unknown>)[Symbol.for('process-on-spawn@*:singletonId')]
;(hooks as Spawning | undefined)?.listeners.splice(0)
delete process.env['NODE_OPTIONS']
