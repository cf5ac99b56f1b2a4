// Preloaded (`node --import`) into a process whose clock shall be wrong by SHIFT_MS.
const shiftMs = Number(process.env.SHIFT_MS ?? "0");
const now = Date.now.bind(Date);
Date.now = () => now() + shiftMs;
