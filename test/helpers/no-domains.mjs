// Instead of async-hook-domain, by which tap follows each promise and each callback of all that runs in a test's process, to
// tell in which test an error came that nobody caught: that was a fifth of the time of all tests. Without it, such an error ends
// the process as it would end any, and the test file has failed.
export class Domain {
  constructor(onerror) {
    this.onerror = onerror
  }
  destroy() {}
}
