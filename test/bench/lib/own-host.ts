/** Where this process listens and dials from: loopback, or its own address where the benchmark has put it into a namespace. */
export const OWN_HOST: string = process.env["BENCH_HOST"] ?? "127.0.0.1";
